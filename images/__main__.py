"""``python -m images``: builds the platform's container images."""

import click
from rich.console import Console
from rich.table import Table

from contracts.command import run
from images.builder import IMAGES, Built, push
from images.builder import build as build_images
from local.progress import Progress


@click.group()
def main() -> None:
    """The platform's container images."""


@main.command()
@click.argument("names", nargs=-1, metavar="[IMAGE]...", type=click.Choice(["base", *IMAGES]))
@click.option("--push", "registry", metavar="REGISTRY", help="Push them there as well, as REGISTRY/ecommerce-lambda/….")
def build(names: tuple[str, ...], registry: str | None) -> None:
    """Build all images, or those named; what has not changed is reused."""
    show(build_with_progress(names or IMAGES))
    if registry:
        push(names or IMAGES, registry)


def build_with_progress(names: tuple[str, ...] = IMAGES) -> list[Built]:
    with Progress("Building images", list(names)) as progress:
        return build_images(names, progress.update)


def show(images: list[Built]) -> None:
    """A table of names, sizes and times."""
    table = Table(box=None, pad_edge=False)
    for title in ("image", "MiB", "seconds"):
        table.add_column(title, justify="left" if title == "image" else "right")
    for image in images:
        took = f"{image.seconds:.1f}" if image.seconds else "unchanged"
        table.add_row(image.name, f"{image.bytes / 2**20:.0f}", took)
    Console(stderr=True, highlight=False).print(table)


if __name__ == "__main__":
    run(main)
