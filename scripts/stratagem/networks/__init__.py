"""U-Nets: the classic one, and one on any classifier's encoder; and how they are computed.

In: a network's name and size; images uint8 (B, 3, H, W).
Out: logits float32 (B, K, H, W); the number format and layout that suit a device.
Imports: `core`.
"""
