"""TensorRT on an NVIDIA GPU: half precision, static shapes, built while engine cuda serves.

engine.py is the engine. It has two flavours, each with its compiler: torch_tensorrt.py, which builds on the GPU that it
builds for, and rtx.py, TensorRT-RTX for consumer cards, which builds in seconds and anywhere. execution.py runs what
either made.
"""
