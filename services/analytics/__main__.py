"""Run the analytics service: `serve`, `work`, or both."""

from services.analytics.app import create_app
from services.analytics.resources import open_resources
from services.analytics.worker import handlers, look_around
from services.kit.process import main

if __name__ == "__main__":
    main("analytics", open_resources=open_resources, create_app=create_app, handlers=handlers, look_around=look_around)
