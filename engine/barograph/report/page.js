(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const page = read("page-data");
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search);
  const only = asked.get("only");
  if (asked.has("theme")) root.dataset.theme = asked.get("theme");
  const config = { responsive: true, displayModeBar: false, doubleClick: "reset" };
  const places = [];
  const timed = [];
  let following = false;

  // What is drawn in ink on paper is drawn in chalk on slate.
  const DARK = {
    "#1d2b36": "#d9e1e7", "#173f5f": "#7db8e0", "#8b98a3": "#84929d", "#e8ecef": "#2c3842", "#c9d1d6": "#41505c",
    "rgba(23,63,95,": "rgba(125,184,224,", "#5f7482": "#9fb0bc", "#b5463c": "#e5877d", "#2e8b57": "#63c08d", "#f4f1e8": "#39424a",
  };
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const themed = (figure) => {
    if (!dark()) return figure;
    const colours = new RegExp(Object.keys(DARK).map((c) => c.replace("(", "\\(")).join("|"), "g");
    return JSON.parse(JSON.stringify(figure).replace(colours, (c) => DARK[c]));
  };

  const element = (name, text, act) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (act) made.addEventListener("click", act);
    return made;
  };

  const linear = (layout) => ({
    ...layout,
    yaxis2: { ...layout.yaxis2, type: "linear", dtick: null, tickmode: "auto" },
    annotations: (layout.annotations ?? []).map((note) => (note.yref === "y2" ? { ...note, y: 10 ** note.y } : note)),
  });

  const drawn = (of) => {
    const { data, layout } = themed(of.figure);
    for (const trace of data) if (trace.x === "ts") trace.x = page.ts;
    layout.uirevision = of.linear;
    layout.font.family = getComputedStyle(document.body).fontFamily;
    // A finger on a chart must still scroll the page.
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    return { data, layout: of.linear ? linear(layout) : layout };
  };
  const draw = (of) => {
    const { data, layout } = drawn(of);
    return Plotly.react(of.place, data, layout, config);
  };

  // Heights follow what is seen: a year zoomed into stands as tall as the whole did.
  const fitted = (of, ends) => {
    const axis = of.place._fullLayout?.yaxis2;
    if (!axis || !ends) return { "yaxis2.autorange": true };
    const [from, to] = ends.map((end) => +new Date(String(end).replace(" ", "T")));
    let low = Infinity, high = -Infinity;
    for (const trace of of.place._fullData) {
      if (trace.yaxis !== "y2" || trace.visible !== true || trace.mode !== "lines" || trace.name === "stops") continue;
      for (let i = 0; i < trace.x.length; i++) {
        const at = +new Date(String(trace.x[i]).replace(" ", "T"));
        if (at < from || at > to) continue;
        low = Math.min(low, trace.y[i]);
        high = Math.max(high, trace.y[i]);
      }
    }
    if (!(high > low)) return {};
    const [a, b] = axis.type === "log" ? [Math.log10(low), Math.log10(high)] : [low, high];
    return { "yaxis2.range": [a - 0.05 * (b - a), b + 0.05 * (b - a)] };
  };
  const zoom = (ends) => {
    following = true;
    const span = ends ? { "xaxis.range": ends } : { "xaxis.range": [page.ts[0], page.ts[page.ts.length - 1]] };
    return Promise.all(timed.map((of) => Plotly.relayout(of.place, { ...span, ...fitted(of, ends) }))).then(() => (following = false));
  };
  const follow = (event) => {
    if (following) return;
    const ends = event["xaxis.range"] ?? [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    if (event["xaxis.autorange"]) zoom(null);
    else if (ends[0] !== undefined) zoom(ends);
  };

  const SPANS = [["1 month", 1], ["3 months", 3], ["1 year", 12], ["3 years", 36], ["10 years", 120]];
  const zooms = () => {
    const first = new Date(page.ts[0].replace(" ", "T")), last = page.ts[page.ts.length - 1];
    const begun = (months) => {
      const at = new Date(last.replace(" ", "T"));
      at.setMonth(at.getMonth() - months);
      return at;
    };
    const shown = SPANS.filter(([, months]) => begun(months) > first);
    const buttons = shown.map(([name, months]) => element("button", name, () => zoom([begun(months).toISOString().slice(0, 10), last])));
    return shown.length ? [...buttons, element("button", "all", () => zoom(null))] : [];
  };

  const png = (of) => {
    const { data, layout } = drawn(of);
    const paper = getComputedStyle(root).getPropertyValue("--paper").trim();
    const size = { format: "png", width: 1200, height: Math.round(layout.height * 1.15), scale: 2 };
    Plotly.toImage({ data, layout: { ...layout, paper_bgcolor: paper, plot_bgcolor: paper } }, size).then((picture) => {
      const link = element("a", "");
      link.href = picture;
      link.download = `${document.title.split(" · ")[0]}-${of.id}.png`.replace(/[^\w.-]+/g, "-");
      link.click();
    });
  };

  const tools = (of) => {
    const row = element("div", "");
    row.className = "tools";
    if (of.id === "equity" && of.figure.linked && page.ts.length > 1) row.append(...zooms());
    if (of.figure.layout.yaxis2?.type === "log") {
      const turn = element("button", "linear", () => {
        of.linear = !of.linear;
        turn.textContent = of.linear ? "logarithmic" : "linear";
        draw(of);
      });
      row.append(turn);
    }
    row.append(element("button", "PNG", () => png(of)));
    of.place.before(row);
  };

  if (only && page.figures[only]) {
    document.body.replaceChildren(document.getElementById(only));
    document.body.className = "only";
    page.figures = { [only]: page.figures[only] };
  }

  for (const [id, figure] of Object.entries(page.figures)) {
    const of = { id, figure, place: document.getElementById(id), linear: false };
    places.push(of);
    if (!only) tools(of);
    draw(of).then(() => {
      if (!figure.linked) return;
      timed.push(of);
      of.place.on("plotly_relayout", follow);
    });
  }

  const value = (cell) => {
    const text = cell.textContent.trim();
    const figure = text.replaceAll(",", "").replace("−", "-").match(/^[-+]?[\d.]+(?=\s*[%×]?$)/);
    return figure ? Number(figure[0]) : text === "–" || text === "" ? null : text;
  };
  const sort = (table, column, head) => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = typeof a === typeof b ? (a > b) - (a < b) : typeof a === "string" ? 1 : -1;
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = element("button", head.textContent, () => sort(table, column, head));
      head.replaceChildren(button);
    });
  }

  const nav = document.querySelector("nav");
  if (nav) {
    for (const heading of document.querySelectorAll("section > h2")) {
      const place = heading.parentElement;
      place.id ||= `part-${heading.textContent.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
      const link = element("a", heading.textContent);
      link.href = `#${place.id}`;
      nav.append(link);
    }
    const turn = element("button", dark() ? "light" : "dark", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      turn.textContent = dark() ? "light" : "dark";
      places.forEach(draw);
    });
    nav.append(turn);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => places.forEach(draw));
})();
