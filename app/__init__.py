"""What a browser sees: one file per tab. Knows `litellama`; nothing imports `app`."""

import os
import sys

import huggingface_hub.constants

# The one effect at import: Gradio and its hub client never ask another host for anything. The environment stays as it
# is for `litellama.hub`, which asks when a person does.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# After each event it would sum up the last 10,000 for a page of statistics that is not served (`app.server.app`).
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
huggingface_hub.constants.HF_HUB_OFFLINE = True
huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
