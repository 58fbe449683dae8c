"""What is measured: each mode has a module, whose `measure` lets the candidates take turns and gives what was found."""
