"""Operators on tensors; they know no models. Each is a torch definition plus fast code.

Names are imported from the modules: some of them must not wait for torch.
"""
