"""Looking at the operations in a store without owning any: for the command line and the server."""
