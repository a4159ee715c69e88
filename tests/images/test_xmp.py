"""XMP that strangers write: what is found in it, and in what time."""

import time

import pytest

from asid_plugin.images.metadata import adapt_xmp
from asid_plugin.images.xmp import replace_elements, without


@pytest.mark.parametrize(
    ('xmp', 'want'),
    [
        (b'<r a:x="1" b="2"/>', b'<r b="2"/>'),
        (b"<r\n a:y = '\"' b='2'/>", b"<r\n b='2'/>"),
        (b'<r><a:x>1<b/></a:x>2<a:x/><a:y b="c" />3</r>', b'<r>23</r>'),
        (b'<r><a:x><a:y>1</a:y>2</a:x >3</r>', b'<r>3</r>'),
        (b'<r></a:x><a:xx>1</a:xx><a:x><b></r>', b'<r></a:x><a:xx>1</a:xx><a:x><b></r>'),
    ],
)
def test_attributes_and_elements_go(xmp: bytes, want: bytes):
    assert without(xmp, b'a:[xy]') == want


def test_elements_are_replaced_with_their_attributes():
    assert (
        replace_elements(b'<a:x b="1"/>2<a:x><c>3</c></a:x>4', b'a:x', bytes.upper)
        == b'<A:X B="1"/>2<A:X><C>3</C></A:X>4'
    )


@pytest.mark.parametrize(
    'piece',
    [
        *(
            b'<xmp:Thumbnails>',
            b'<exif:SubjectArea>',
            b'<exif:SubjectArea ',
            b' exif:SubjectArea =',
            b'</exif:SubjectArea>',
        ),
        *(b'<mwg-rs:AppliedToDimensions>', b'<mwg-rs:AppliedToDimensions ', b'GPano:', b'<GPano:AWidth>', b' '),
    ],
)
def test_a_packet_takes_time_by_its_length(piece: bytes):
    """Searches that begin anew at each of these would take minutes."""
    began = time.process_time()
    adapt_xmp(piece * (1_000_000 // len(piece)), 10, 10)
    assert time.process_time() - began < 3


def test_numbers_that_no_panorama_has():
    size = b'GPano:CroppedAreaImageWidthPixels'
    assert adapt_xmp(b'<r %b="%b" a="b"/>' % (size, b'9' * 5000), 10, 20) == b'<r a="b"/>'
    assert adapt_xmp(b'<r %b="10" GPano:FullPanoWidthPixels="%b"/>' % (size, b'9' * 5000), 10, 20) == b'<r/>'
    assert adapt_xmp(b'<r %b="10" GPano:FullPanoWidthPixels="30"/>' % size, 10, 20) == (
        b'<r %b="20" GPano:FullPanoWidthPixels="60"/>' % size
    )
