"""Run the gateway: `serve`, `work`, or both."""

from services.gateway.app import create_app
from services.gateway.resources import open_resources
from services.gateway.worker import handlers, look_around
from services.kit.process import main

if __name__ == "__main__":
    main("gateway", open_resources=open_resources, create_app=create_app, handlers=handlers, look_around=look_around)
