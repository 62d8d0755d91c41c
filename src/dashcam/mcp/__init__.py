"""Answers for agents: a read-only server of the Model Context Protocol over any store, on standard input and output."""
