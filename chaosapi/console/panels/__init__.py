"""The parts of the page, one panel per module: each is built once and then updated."""
