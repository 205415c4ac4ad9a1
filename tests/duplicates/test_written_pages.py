"""Scanned pages of one form: what says something else is another page, however alike, and a copy is a copy."""

from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.cleanup.planning import make_plan
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify import fine_detail
from vitsearch.duplicates.verify.check import check_files
from vitsearch.duplicates.verify.views import View
from vitsearch.duplicates.verify.written import is_page
from vitsearch.library import Library

WORDS = "bread milk butter apples coffee paper lamp soap rice tea honey salt cups nails rope ink".split()
QUALITY = 75


def receipt(items: int, *, number: int = 1041, seed: int = 1, scan: int = 0) -> Image.Image:
    """A receipt of one shop, as a scanner sees it: grey paper, grain, and a little turned.

    `seed` says what was bought, `scan` how the paper lay.
    """
    page = Image.new("L", (620, 1400), 236)
    draw = ImageDraw.Draw(page)
    rng = Random(seed)

    def line(top: int, text: str, price: str = "", size: int = 22) -> None:
        draw.text((50, top), text, 40, font=ImageFont.load_default(size))
        draw.text((480, top), price, 40, font=ImageFont.load_default(size))

    line(60, "CORNER STATIONERY SHOP", size=34)
    for place, text in enumerate(
        ("12 Harbour Road, Old Town", "Tel 040 555 0199", "Tax number DE 811 907", "TAX INVOICE")
    ):
        line(120 + 34 * place, text)
    line(280, f"Receipt {number}", f"{rng.randint(10, 28)}.03.2024")
    for place in range(items):
        line(340 + 34 * place, rng.choice(WORDS).title(), f"{rng.randint(1, 99)},{rng.randint(10, 99)}")
    line(360 + 34 * items, "TOTAL", f"{rng.randint(100, 999)},{rng.randint(10, 99)}", size=30)
    for place, text in enumerate(
        (
            "Goods sold are not returnable",
            "Thank you for your patronage",
            "Please come again",
            "Open Monday to Saturday",
            "Keep this receipt for your records",
            "Find us on the harbour front",
            "Parking is behind the house",
        )
    ):
        line(920 + 44 * place, text, size=26)
    turned = page.rotate(0.3 * (scan % 3 - 1), resample=Image.Resampling.BICUBIC, fillcolor=236)
    grain = np.random.default_rng(scan).normal(0, 5, (1400, 620))
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.7)), np.float32) + grain
    return Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8)).convert("RGB")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def found(tmp_path, folder):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        return find_duplicates(library)


def test_receipts_of_one_shop_are_alike_and_never_planned(tmp_path, folder):
    for number in range(6):
        receipt(6, number=1000 + 37 * number, seed=number, scan=number).save(
            folder / f"{number}.jpg", quality=QUALITY
        )
    report = found(tmp_path, folder)
    assert report.groups == ()
    assert len(report.alike) > 0
    assert make_plan(report.groups, "trash", roots=[folder]).groups == ()


@pytest.mark.parametrize("number", [2978, 1042, 1049])
def test_a_receipt_with_another_number_is_another_receipt(folder, number):
    receipt(12, number=1041).save(folder / "one.jpg", quality=QUALITY)
    receipt(12, number=number).save(folder / "two.jpg", quality=QUALITY)
    checked = check_files(folder / "one.jpg", folder / "two.jpg")
    assert (checked.tier, checked.reason) == (None, "they are pages or drawings that differ in a detail")


COPIES = {
    "saved-small.jpg": lambda page: page,
    "half.jpg": lambda page: page.reduce(2),
    "turned.png": lambda page: page.transpose(Image.Transpose.ROTATE_90),
    "grey.webp": ImageOps.grayscale,
    "darker.jpg": lambda page: page.point(lambda value: value * 0.8),
    "framed.jpg": lambda page: ImageOps.expand(page, 60, "black"),
    "straight.jpg": lambda page: page.rotate(
        1.5, resample=Image.Resampling.BICUBIC, fillcolor=(236, 236, 236)
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_receipt_is_a_copy(folder, name):
    page = receipt(12)
    page.save(folder / "page.jpg", quality=90)
    COPIES[name](page).save(folder / name, quality=35)
    checked = check_files(folder / "page.jpg", folder / name)
    assert checked.tier == "near", checked.reason


@pytest.mark.parametrize("quality", [75, 30, 15])
def test_a_copy_of_a_clean_page_is_a_copy_at_any_quality(folder, quality):
    """A page of a few flat tones is a drawing, too; what a codec leaves around its letters is no other letter."""
    page = receipt(12).point(lambda value: 255 if value > 150 else 0)
    page.save(folder / "page.png")
    page.save(folder / "copy.jpg", quality=quality)
    checked = check_files(folder / "page.png", folder / "copy.jpg")
    assert checked.tier == "near", checked.reason


def invoice(total, *, year=2019, size=20):
    """A page as a program makes it: not a pixel that is not paper or ink."""
    page = Image.new("RGB", (900, 1200), "white")
    draw, font, rng = ImageDraw.Draw(page), ImageFont.load_default(size), Random(7)
    lines = [f"Invoice of 12.08.{year}"]
    lines += [
        f"{place:02d}  {rng.choice(WORDS).title()} M{rng.randint(3, 16)}  {rng.randint(10, 99)},{rng.randint(10, 99)}"
        for place in range(18)
    ]
    for place, line in enumerate([*lines, f"Total {total}"]):
        draw.text((80, 80 + int(1.8 * size) * place), line, fill="black", font=font)
    return page


OTHERS = {"total": ("1.350,00", 2019), "cents": ("1.250,08", 2019), "year": ("1.250,00", 2018)}


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("size", [16, 20, 24, 30])
@pytest.mark.parametrize("other", OTHERS)
def test_a_clean_page_with_another_digit_is_another_page(folder, size, other, kind):
    one, two = folder / f"one.{kind}", folder / f"two.{kind}"
    invoice("1.250,00", size=size).save(one, quality=92)
    total, year = OTHERS[other]
    invoice(total, year=year, size=size).save(two, quality=80)
    for pair in ((one, two), (two, one)):
        checked = check_files(*pair)
        assert (checked.tier, checked.reason) == (None, "they are pages or drawings that differ in a detail")


@pytest.mark.parametrize("size", [20, 30])
@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.resize((630, 840), Image.Resampling.LANCZOS),
        lambda page: page.resize((450, 600), Image.Resampling.BICUBIC),
        lambda page: page.filter(ImageFilter.UnsharpMask(2, 120, 2)),
        lambda page: page.point(lambda value: value * 0.9),
        ImageOps.grayscale,
    ],
)
def test_a_copy_of_a_clean_page_is_a_copy(folder, size, change):
    page = invoice("1.250,00", size=size)
    page.save(folder / "page.png")
    change(page).save(folder / "copy.jpg", quality=70)
    checked = check_files(folder / "page.png", folder / "copy.jpg")
    assert checked.tier == "near", checked.reason


def test_pages_are_told_from_photos():
    def view(image):
        return View.of(image).grey

    assert is_page(view(receipt(8)))
    assert is_page(view(ImageOps.invert(receipt(8))))
    pages = []
    photos = sorted(path for path in SAMPLES.rglob("*.jpg") if path.parent.name != "copies")
    for path in photos:
        with Image.open(path) as image:
            if is_page(view(ImageOps.exif_transpose(image).convert("RGB"))):
                pages.append(path.name)
    # A twig before a plain sky may pass for writing, and its copies still agree in it.
    assert len(pages) <= 0.05 * len(photos), pages


def test_large_pages_are_aligned_on_small_ones_to_less_than_a_pixel():
    """On twenty megapixels the last step took minutes and gigabytes."""
    page = receipt(12).convert("L").resize((1550, 3500), Image.Resampling.BICUBIC)
    page = page.filter(
        ImageFilter.GaussianBlur(2.5)
    )  # without the grain, which no shift by parts of a pixel keeps
    moved = page.transform(
        page.size, Image.Transform.AFFINE, (1, 0, 3.4, 0, 1, -2.6), Image.Resampling.BICUBIC
    )
    whole = np.zeros((3500, 1550), np.uint8)
    whole[10:-10, 10:-10] = 1
    back, seen = fine_detail._nudged(np.asarray(moved), np.asarray(page), whole)
    inner = np.s_[50:-50, 50:-50]
    assert seen[inner].all()
    apart = np.abs(back[inner].astype(int) - np.asarray(page)[inner])
    unmoved = np.abs(np.asarray(moved)[inner].astype(int) - np.asarray(page)[inner])
    assert apart.mean() < 0.2 * unmoved.mean()
