"""Hidden states that are products: several chains side by side. No part of the interface."""
