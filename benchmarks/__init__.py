"""How fast, side by side with trusted peers: `python -m benchmarks`.

`ablations` and `service` are commands of their own: one trains for hours, the other loads a server with many clients.
"""
