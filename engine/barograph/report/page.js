(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const page = read("page-data");
  const config = { responsive: true, displayModeBar: false, doubleClick: "reset" };
  const timed = [];
  let following = false;

  const follow = (source) => (event) => {
    if (following) return;
    const whole = event["xaxis.autorange"];
    const ends = event["xaxis.range"] ?? [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    if (!whole && ends[0] === undefined) return;
    following = true;
    const others = timed.filter((place) => place !== source);
    Promise.all(others.map((place) => Plotly.relayout(place, whole ? { "xaxis.autorange": true } : { "xaxis.range": ends }))).then(() => {
      following = false;
    });
  };

  for (const [id, figure] of Object.entries(page.figures)) {
    const place = document.getElementById(id);
    for (const trace of figure.data) if (trace.x === "ts") trace.x = page.ts;
    // A finger on a chart must still scroll the page.
    if (matchMedia("(pointer: coarse)").matches) figure.layout.dragmode = false;
    figure.layout.font.family = getComputedStyle(document.body).fontFamily;
    Plotly.newPlot(place, figure.data, figure.layout, config).then(() => {
      if (figure.linked) {
        timed.push(place);
        place.on("plotly_relayout", follow(place));
      }
    });
  }
})();
