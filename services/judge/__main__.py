"""Run the judge: `serve`, `work`, or both."""

from services.judge.app import create_app
from services.judge.resources import open_resources
from services.judge.worker import handlers, look_around
from services.kit.process import main

if __name__ == "__main__":
    main("judge", open_resources=open_resources, create_app=create_app, handlers=handlers, look_around=look_around)
