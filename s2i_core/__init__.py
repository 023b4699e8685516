"""The s2i domain and model."""

import os

# diffusers loads ONNX Runtime where that is installed, and it reports to its makers unless it is told not to before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
