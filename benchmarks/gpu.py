"""The whole path on a CUDA card, without a network: `python benchmarks/gpu.py [--json FILE]`.

Models of random weights (ViT-S/14, ViT-B/16, ViT-L/14) are made on the spot, as are the JPEGs. Rates are photos a
second; the card's rate is that of a large bfloat16 matrix product on random numbers, measured in the same run, and a
tower's share of it counts the multiplications of the whole model, also those that vitsearch does not do. "Eager" is
transformers' own model, as a plain loop runs it (autocast for bfloat16), and once more as a whole in bfloat16 with
PyTorch's fused attention. The variants at the end are tried as long as there is time; `torch.compile` is not among
them: with max-autotune it took minutes a model, and cuBLAS was faster than nearly all of its matrix products.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from forward import gigaflops
from machine import print_machine
from PIL import Image

from vitsearch.backbones import load_backbone
from vitsearch.backbones.backbone import Backbone, Embeddings
from vitsearch.backbones.vision_tower import load_vision_model
from vitsearch.library import Library
from vitsearch.photos.grey_grid import grey_grid
from vitsearch.photos.photo import read_photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vitsearch.backbones.accelerator import AcceleratorBackbone
    from vitsearch.backbones.lanes import Recipe
    from vitsearch.space import Preprocessing

# (width, layers, heads, patch edge, architecture)
MODELS = {
    "ViT-S/14": (384, 12, 6, 14, "dinov2"),
    "ViT-B/16": (768, 12, 12, 16, "vit"),
    "ViT-L/14": (1024, 24, 16, 14, "dinov2"),
}
DEVICE: Literal["cuda"] = "cuda"
EDGE = 224
# (megapixels, photos): each run takes a few seconds on sixteen cores.
SIZES = ((0.2, 16000), (2.0, 4000), (12.0, 1536))
# Files made of one picture, each with quantisation of its own: encoding takes longer than decoding.
FILES_PER_PICTURE = 16
COMPARED = {"ViT-S/14": 128, "ViT-B/16": 128, "ViT-L/14": 64}
EAGER_BATCH = 128
SINCE = time.monotonic()


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"[{time.monotonic() - SINCE:6.1f}] {text}", flush=True)


def make_model(name: str, folder: Path) -> Path:
    """Save a checkpoint of random weights with the spread of trained ones, as transformers saves it."""
    import transformers

    width, layers, heads, patch, architecture = MODELS[name]
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "patch_size": patch,
        "image_size": EDGE,
    }
    torch.manual_seed(0)
    if architecture == "vit":
        model: Any = transformers.ViTModel(
            transformers.ViTConfig(**sizes, intermediate_size=4 * width), add_pooling_layer=False
        )
    else:
        model = transformers.Dinov2Model(transformers.Dinov2Config(**sizes))
    with torch.no_grad():
        for key, weights in model.named_parameters():
            if weights.ndim > 1:
                weights.normal_(0, weights[0].numel() ** -0.5)
            elif key.endswith("weight") or "lambda" in key:
                weights.normal_(1, 0.1)
            else:
                weights.normal_(0, 0.1)
    model.save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": EDGE, "width": EDGE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def make_photos(folder: Path, megapixels: float, number: int) -> list[Path]:
    """Write JPEGs of one picture: clouds of colour and a camera's grain, so that it decodes as slowly as a photo."""
    random = np.random.default_rng(number)
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = width * 3 // 4
    clouds = Image.fromarray(random.integers(0, 256, (18, 24, 3), dtype=np.uint8))
    pixels = np.asarray(clouds.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = random.normal(0, 3, (256, width)).astype(np.int16)
    pixels = pixels + np.resize(grain, (height, width))[..., None]
    encoded = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=90)
    data = bytearray(encoded.getvalue())
    last = data.index(b"\xff\xdb") + 4 + 64
    paths = [folder / f"{number:05}-{turn:02}.jpg" for turn in range(FILES_PER_PICTURE)]
    for turn, path in enumerate(paths):
        data[last] = 10 + turn
        path.write_bytes(data)
    return paths


def decode(preprocessing: Preprocessing, paths: Sequence[Path]) -> int:
    """Do what a decoding process does for photos, without sending anything: the limit that decoding sets."""
    from vitsearch.backbones.preprocessing import fitted

    for path in paths:
        image = read_photo(path).pixels(min_side=preprocessing.decode_side)
        grey_grid(image).tobytes()
        fitted(image, preprocessing).tobytes()
    return len(paths)


class NoModel(Backbone):
    """Embeds at no cost: what is left of an index run is everything but the model."""

    device = "cpu"

    def __init__(self, like: Backbone) -> None:
        self.space = replace(like.space, model="none", fingerprint="0" * 64)
        self.batch_size = like.batch_size

    def embed_batch(self, pixels: np.ndarray) -> Embeddings:
        """Return the same unit row for all."""
        rows = np.zeros((len(pixels), self.space.dimension), np.float32)
        rows[:, 0] = 1
        return Embeddings(rows, np.ones(len(pixels), np.float32))


def timed(run: Callable[[], object], *, seconds: float = 1.0) -> float:
    """Return the median seconds of a run on the card, after two that warm it up."""
    taken: list[float] = []
    until = time.perf_counter() + seconds
    turn = 0
    while turn < 5 or time.perf_counter() < until:
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if turn >= 2:
            taken.append(time.perf_counter() - started)
        turn += 1
    return statistics.median(taken)


def card() -> dict[str, Any]:
    """Measure the card's ceilings: the rate of a matrix product, and of a copy in its memory."""
    n = 8192
    left, right = (torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    rate = 2 * n**3 / timed(lambda: left @ right) / 1e12
    much = torch.empty(1 << 30, dtype=torch.uint8, device=DEVICE).random_()
    room = torch.empty_like(much)
    copied = 2 * much.numel() / timed(lambda: room.copy_(much)) / 1e12
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": torch.cuda.get_device_name(),
        "memory_gb": properties.total_memory / 1e9,
        "bf16_tflops": rate,
        "copy_tb_per_second": copied,
        "torch": torch.__version__,
        "cores": os.cpu_count(),
    }


def eager_rates(folder: Path) -> dict[str, float]:
    """Measure transformers' own model: photos a second."""
    values = torch.randn(EAGER_BATCH, 3, EDGE, EDGE, device=DEVICE)
    rates = {}
    plain = load_vision_model(folder, attention="eager").to(DEVICE)
    fused = load_vision_model(folder, attention="sdpa").to(DEVICE, torch.bfloat16)
    half = values.bfloat16()
    with torch.inference_mode():
        rates["eager fp32"] = EAGER_BATCH / timed(lambda: plain(values))
        with torch.autocast(DEVICE, torch.bfloat16):
            rates["eager bf16"] = EAGER_BATCH / timed(lambda: plain(values))
        rates["eager bf16, cast, SDPA"] = EAGER_BATCH / timed(lambda: fused(half))
    return rates


def our_rates(backbone: AcceleratorBackbone, *, seconds: float = 2.0) -> dict[str, float]:
    """Measure the chosen recipe: on the card alone, and from prepared pixels in this process to vectors in it."""
    backbone.expect(1_000_000)
    alone = 1 / backbone.lane.seconds_per_image(backbone.recipe, seconds=seconds / 2)
    n = backbone.batch_size
    images = list(np.random.default_rng(0).integers(0, 256, (n, EDGE, EDGE, 3), dtype=np.uint8))
    backbone.start(images)()
    waiting: list[Callable[[], Embeddings]] = []
    done, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        waiting.append(backbone.start(images))
        if len(waiting) > backbone.in_flight:
            done += len(waiting.pop(0)().rows)
    done += sum(len(wait().rows) for wait in waiting)
    return {"ours": alone, "ours, from memory to memory": done / (time.perf_counter() - started)}


def agreement(
    backbone: AcceleratorBackbone, folder: Path, cache: Path, photos: Sequence[Path]
) -> dict[str, float]:
    """Compare with float32 on the CPU."""
    exact = load_backbone(str(folder), cache=cache, device="cpu", runtime="torch")
    pixels = np.stack(
        [
            backbone.prepare(read_photo(path).pixels(min_side=backbone.space.preprocessing.decode_side))
            for path in photos
        ]
    )
    started = time.monotonic()
    expected = exact.embed_batch(pixels).rows
    seconds = time.monotonic() - started
    centre = expected.mean(axis=0)
    found = backbone.embed_batch(pixels).rows
    cosines = (found * expected).sum(axis=1)
    backbone.lane.use_half(torch.bfloat16)
    in_bf16 = (backbone.embed_batch(pixels).rows * expected).sum(axis=1)
    others = (expected[1:] * expected[:-1]).sum(axis=1)
    # Random weights leave photos much alike; what is left without the mean is the harder comparison.
    ours, theirs = found - centre, expected - centre
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return {
        "photos": len(photos),
        "mean": float(cosines.mean()),
        "first_percentile": float(np.percentile(cosines, 1)),
        "least": float(cosines.min()),
        "mean_without_the_centre": float(((ours * theirs).sum(axis=1) / lengths).mean()),
        "of_different_photos": float(others.mean()),
        "bf16_mean": float(in_bf16.mean()),
        "bf16_first_percentile": float(np.percentile(in_bf16, 1)),
        "cpu_seconds": seconds,
    }


def measure_model(
    name: str, folder: Path, cache: Path, photos: Sequence[Path], peak: float
) -> dict[str, Any]:
    """Measure one model's forward pass, agreement and memory."""
    rates = eager_rates(folder)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    backbone: Any = load_backbone(str(folder), cache=cache, device=DEVICE, notice=say)
    started = time.monotonic()
    backbone.expect(1_000_000)
    tuning = time.monotonic() - started
    rates |= our_rates(backbone)
    memory = torch.cuda.max_memory_reserved() / 1e9
    work = gigaflops(backbone.spec)
    for kind, rate in rates.items():
        say(f"{name:<9} {kind:<28} {rate:9.1f} photos/s  {rate * work / 1e3 / peak:6.1%} of the card")
    say(f"{name}: {backbone.recipe}, chosen in {tuning:.1f} s; {memory:.2f} GB")
    fit = agreement(backbone, folder, cache, photos[::FILES_PER_PICTURE][: COMPARED[name]])
    in_bf16 = 1 / backbone.lane.seconds_per_image(backbone.recipe, seconds=0.5)
    rates["ours, in bf16"] = in_bf16
    say(
        f"{name:<9} {'ours, in bf16':<28} {in_bf16:9.1f} photos/s  {in_bf16 * work / 1e3 / peak:6.1%} of the card"
    )
    say(f"{name}: {fit}")
    return {
        "gflop": work,
        "photos_per_second": rates,
        "share_of_card": {kind: rate * work / 1e3 / peak for kind, rate in rates.items()},
        "recipe": asdict(backbone.recipe),
        "tuning_seconds": tuning,
        "gpu_memory_gb": memory,
        "agreement": fit,
    }


def end_to_end(
    backbone: AcceleratorBackbone, photos: Sequence[Path], scratch: Path, workers: int | None = None
) -> dict[str, Any]:
    """Index a folder of photos, and say how long the card waited."""
    library = scratch / "library"
    subprocess.run(["rm", "-rf", library], check=True)
    before = backbone.busy_seconds
    with Library.open(library, backbone=backbone) as opened:
        started, worked = time.perf_counter(), time.process_time()
        report = opened.index([photos[0].parent], workers=workers)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
    assert report.embedded == len(photos), report
    busy = backbone.busy_seconds - before
    return {
        "photos_per_second": len(photos) / seconds,
        "gpu_waited": 1 - busy / seconds,
        "core_ms_per_photo_in_this_process": 1000 * worked / len(photos),
    }


def without_model(like: Backbone, photos: Sequence[Path], scratch: Path) -> float:
    """Index a folder of photos with a model that costs nothing: photos a second."""
    library = scratch / "no-model"
    subprocess.run(["rm", "-rf", library], check=True)
    with Library.open(library, backbone=NoModel(like)) as opened:
        started = time.perf_counter()
        opened.index([photos[0].parent])
        return len(photos) / (time.perf_counter() - started)


def decoding_rate(pool: ProcessPoolExecutor, photos: Sequence[Path], preprocessing: Preprocessing) -> float:
    """Measure decoding alone, in as many processes as there are cores: photos a second."""
    parts = [photos[start : start + 8] for start in range(0, len(photos), 8)]
    list(pool.map(partial(decode, preprocessing), parts[: 2 * (os.cpu_count() or 1)]))
    started = time.perf_counter()
    done = sum(pool.map(partial(decode, preprocessing), parts))
    return done / (time.perf_counter() - started)


def stopped_and_resumed(folder: Path, photos: Sequence[Path], scratch: Path, cache: Path) -> dict[str, Any]:
    """Stop an index run of the real program with Ctrl-C while it embeds, run it again, and count."""
    library = scratch / "stopped"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(cache)}
    program = [sys.executable, "-m", "vitsearch", "--library", str(library)]
    index = [*program, "index", str(photos[0].parent), "--model", str(folder), "--device", DEVICE]
    running = subprocess.Popen(index, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started = time.monotonic()
    while running.poll() is None and _vectors(library) == 0 and time.monotonic() - started < 60:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, errors = running.communicate(timeout=60)
    ended = time.monotonic() - asked
    stopped = _vectors(library)
    again = subprocess.run([*index, "--json"], env=environment, capture_output=True, check=False, timeout=120)
    if again.returncode:
        return {"failed": (errors + again.stderr).decode()[-600:]}
    report = json.loads(again.stdout)
    return {
        "exit_status": running.returncode,
        "seconds_to_stop": ended,
        "vectors_when_stopped": stopped,
        "embedded_by_the_second_run": report["embedded"],
        "vectors_in_the_end": _vectors(library),
        "photos": len(photos),
    }


def _vectors(library: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{library / 'library.db'}?mode=ro", uri=True, timeout=5) as database:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except sqlite3.Error:
        return 0


def variants(chosen: Recipe) -> dict[str, Recipe]:
    """Return recipes to learn from."""
    found = {
        f"{attention}{', fast GELU' if fast else ''}": replace(chosen, attention=attention, fast_gelu=fast)
        for attention in ("flash", "cudnn")
        for fast in (False, True)
    }
    return found | {
        f"batch {batch}": replace(chosen, batch=batch) for batch in (32, 64, 128, 192, 256, 512, 1024)
    }


def try_variants(
    backbone: AcceleratorBackbone, recipes: dict[str, Recipe], peak: float, until: float
) -> dict[str, Any]:
    """Measure each variant while there is time."""
    chosen, work = backbone.recipe, gigaflops(backbone.spec)
    results: dict[str, Any] = {}
    for name, recipe in recipes.items():
        if time.monotonic() > until:
            results[name] = "no time"
            continue
        started = time.monotonic()
        try:
            rate = 1 / backbone.lane.seconds_per_image(recipe, seconds=0.4)
        except Exception as error:  # noqa: BLE001 - a compiler raises what it likes
            results[name] = f"{type(error).__name__}: {str(error)[:200]}"
            say(f"   {name}: {results[name]}")
            continue
        share, took = rate * work / 1e3 / peak, time.monotonic() - started
        results[name] = {"photos_per_second": rate, "share_of_card": share, "seconds": took}
        say(f"   {name:<28} {rate:9.1f} photos/s {share:6.1%}  ({took:.1f} s)")
    backbone.lane.use(chosen)
    return results


def kernels(backbone: AcceleratorBackbone) -> list[tuple[str, float, int]]:
    """Say which kernels a batch spends its time in: (name, milliseconds, calls), the longest first."""
    from torch.profiler import ProfilerActivity, profile

    pixels = torch.zeros((backbone.batch_size, EDGE, EDGE, 3), dtype=torch.uint8, device=DEVICE).random_(
        0, 256
    )
    with torch.inference_mode():
        backbone.lane.tower(pixels)
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            backbone.lane.tower(pixels)
            torch.cuda.synchronize()
    found = [(event.key, event.self_device_time_total / 1e3, event.count) for event in seen.key_averages()]
    return sorted(found, key=lambda kernel: -kernel[1])[:14]


def every_size(
    backbone: AcceleratorBackbone,
    photos: dict[float, list[Path]],
    scratch: Path,
    pool: ProcessPoolExecutor,
    forward: float,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure index runs of photos of each size, and of the small ones with other numbers of decoders."""
    for size, files in photos.items():
        alone = decoding_rate(pool, files, backbone.space.preprocessing)
        run = end_to_end(backbone, files, scratch)
        run["decoding_alone"] = alone
        run["without_a_model"] = without_model(backbone, files, scratch)
        run["of_the_limit"] = run["photos_per_second"] / min(alone, forward)
        say(f"{size:g} MP, {len(files)} photos: {run}")
        yield f"{size:g} MP", run
    for workers in (8, 12, 14, 20, 16):
        run = end_to_end(backbone, photos[0.2], scratch, workers)
        say(f"0.2 MP, {workers} decoders: {run}")
        yield f"0.2 MP, {workers} decoders", run


def learn(
    checkpoints: dict[str, Path], cache: Path, peak: float, until: float
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """See where the time goes, and try variants while there is time."""
    opened: dict[str, Any] = {}
    for model, folder in checkpoints.items():
        opened[model] = load_backbone(str(folder), cache=cache, device=DEVICE, notice=say)
        opened[model].expect(1_000_000)
        found = kernels(opened[model])
        say(f"{model}: kernels of a batch of {opened[model].batch_size}")
        for kernel, milliseconds, calls in found:
            say(f"   {milliseconds:8.2f} ms {calls:4} x {kernel[:90]}")
        yield "kernels", model, {kernel: milliseconds for kernel, milliseconds, _ in found}
    for model, backbone in opened.items():
        say(f"{model}: variants, {until - time.monotonic():.0f} s left")
        yield "variants", model, try_variants(backbone, variants(backbone.recipe), peak, until)


def table(result: dict[str, Any]) -> None:
    """Print what matters, last."""
    about = result["card"]
    print(
        f"\n{about['name']}, {about['cores']} cores: {about['bf16_tflops']:.0f} bf16 TFLOP/s, "
        f"{about['copy_tb_per_second']:.2f} TB/s"
    )
    kinds = ["eager fp32", "eager bf16", "eager bf16, cast, SDPA", "ours", "ours, from memory to memory"]
    for name, model in result["models"].items():
        rates, share, fit = model["photos_per_second"], model["share_of_card"], model["agreement"]
        print(f"{name}: " + "; ".join(f"{kind} {rates[kind]:.0f}/s {share[kind]:.0%}" for kind in kinds))
        print(
            f"   {rates['ours'] / rates['eager bf16']:.2f} x eager bf16; cosine {fit['mean']:.5f} mean, "
            f"{fit['first_percentile']:.5f} 1st percentile; {model['gpu_memory_gb']:.1f} GB; {model['recipe']}"
        )
    for size, run in result["end_to_end"].items():
        print(f"{size}: " + ", ".join(f"{key} {value:.3g}" for key, value in run.items()))
    print("stopped and resumed:", result.get("stopped"))


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--seconds", type=float, default=200, help="no variant is begun after so many")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--few", type=float, default=1.0, help="a part of the photos, to try the program")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA card can be used by this torch")
    print_machine("torch", "transformers", "pillow", "numpy")
    result: dict[str, Any] = {"models": {}, "kernels": {}, "variants": {}, "end_to_end": {}}

    def keep() -> None:
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1), "utf-8")

    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        scratch = Path(name)
        cache = scratch / "cache" / "vitsearch"
        made: dict[float, list[Any]] = {}
        for megapixels, count in SIZES:  # by other processes, while the card is measured
            folder = scratch / f"photos-{megapixels:g}"
            folder.mkdir()
            wanted = range(max(8, round(count * arguments.few / FILES_PER_PICTURE)))
            chunk = partial(make_photos, folder, megapixels)
            made[megapixels] = [pool.submit(chunk, number) for number in wanted]
        checkpoints = {name: make_model(name, scratch / name.replace("/", "-")) for name in arguments.models}
        say("models made")
        photos = {
            size: [path for each in futures for path in each.result()] for size, futures in made.items()
        }
        say("photos made")
        result["card"] = card()
        say(str(result["card"]))
        peak = result["card"]["bf16_tflops"]
        for model, folder in checkpoints.items():
            result["models"][model] = measure_model(model, folder, cache, photos[2.0], peak)
            keep()
        model = "ViT-B/16" if "ViT-B/16" in checkpoints else arguments.models[0]
        forward = result["models"][model]["photos_per_second"]["ours"]
        backbone: Any = load_backbone(str(checkpoints[model]), cache=cache, device=DEVICE, notice=say)
        backbone.expect(1_000_000)
        for size, run in every_size(backbone, photos, scratch, pool, forward):
            result["end_to_end"][size] = run
            keep()
        result["stopped"] = stopped_and_resumed(checkpoints[model], photos[0.2], scratch, cache.parent)
        say(f"stopped and resumed: {result['stopped']}")
        keep()
        table(result)
        several = {name: checkpoints[name] for name in ("ViT-B/16", "ViT-L/14") if name in checkpoints}
        for part, model, found in learn(several, cache, peak, SINCE + arguments.seconds):
            result[part].setdefault(model, {}).update(found)
            keep()
    result["seconds"] = time.monotonic() - SINCE
    keep()
    for model, tried in result["variants"].items():
        print(
            f"{model}: "
            + "; ".join(
                f"{name} {each['share_of_card']:.1%}"
                for name, each in tried.items()
                if isinstance(each, dict)
            )
        )


if __name__ == "__main__":
    main()
