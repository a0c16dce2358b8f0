"""Who mirrors the orders: one module a broker, one factory each, called from ``[paper] broker``. Never real money."""
