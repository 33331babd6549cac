"""Exit with 0 if an address answers: the image has no curl.

python healthy.py http://127.0.0.1:5000/health
"""

import sys
from urllib.error import URLError
from urllib.request import urlopen

try:
    with urlopen(sys.argv[1], timeout=4) as response:
        response.read()
except (URLError, OSError) as error:
    sys.exit(f"{sys.argv[1]}: {error}")
