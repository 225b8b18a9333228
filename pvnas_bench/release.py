"""The version of this package, for all rooms: they do not import the package's face, which stands above them."""

VERSION = "0.2.0"
