"""The interactive explorer: one ES module in the browser, one service behind it."""
