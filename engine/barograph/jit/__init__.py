"""Python becomes machine code that is the same everywhere, and a state lies flat.

`kernel`, `cache`, `fingerprint`, `reach` compile and remember; `memory`, `views`, `frame`, `calling` say how a state
lies and how one part calls another by address; `arithmetic` and `ordered` compute the same bits on every processor;
`periods` tells days and months apart.

It knows no market; what a kernel computes belongs to the wing that wants it.
"""
