"""Networks as kernels: layers and three nets made of them, the torch that trains them, the worlds one is trained on."""
