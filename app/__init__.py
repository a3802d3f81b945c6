"""What a browser sees: one file per tab. Knows `litellama`; nothing imports `app`."""

import os

# The one effect at import: Gradio and its hub client read these while they are being imported, and the lab never
# asks another host for anything.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
