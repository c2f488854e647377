#!/bin/sh
# build.sh OUT: builds the token in AssemblyScript. Needs its compiler: `npm install` in this folder, or ASC names it.
# The runtime is the one that never frees memory, for a call has an instance of its own.
set -eu
cd "$(dirname "$0")"
exec "${ASC:-node_modules/.bin/asc}" token.ts --runtime stub --use abort= --noAssert -O3z --converge --outFile "$1"
