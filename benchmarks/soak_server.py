"""A server with a component that raises now and then.

python benchmarks/soak_server.py MODEL RUNNER --port PORT
"""

import sys

import soak_fault
import uvicorn

from gpt2sdk import Generator
from gpt2sdk_serve import ServeSettings, make_app

if __name__ == "__main__":
    model, runner, _, port = sys.argv[1:]
    gen = Generator.from_pretrained(model, device="cpu", runner=runner, plugins=[soak_fault])
    settings = ServeSettings(port=int(port))
    app = make_app({model: gen}, settings)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning")
