"""The HTTP door: the JSON API for programs and the pages for recipients. Each handler makes one service call."""
