"""Our node beside other DHTs: the same work by real processes over an emulated wide-area network."""
