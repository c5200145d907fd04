"""The kinds of the two operators, from what their projects publish as packages."""
