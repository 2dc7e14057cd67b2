"""One suite per op, under the op's name: adding an op adds a file here."""
