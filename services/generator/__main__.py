"""Run the generator: `serve`, `work`, or both."""

from services.generator.app import create_app
from services.generator.resources import open_resources
from services.generator.worker import handlers, look_around
from services.kit.process import main

if __name__ == "__main__":
    main("generator", open_resources=open_resources, create_app=create_app, handlers=handlers, look_around=look_around)
