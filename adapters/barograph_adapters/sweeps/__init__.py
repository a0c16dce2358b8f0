"""What runs or searches the points of a sweep outside the engine: each a library that users install themselves."""
