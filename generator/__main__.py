from contracts.command import run
from generator.cli import main

run(main)
