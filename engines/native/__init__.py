"""The fused SwinIR of this project, in C++, behind a plain C interface. Needs no PyTorch.

engine.py is the engine; interface.h is the C interface and interface.py its Python side; kernels.h says how activations
and weights lie in memory, and network.cpp is the order of the passes. setup.py compiles the kernels once for each
instruction set; the library chooses at run time.
"""
