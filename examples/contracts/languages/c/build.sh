#!/bin/sh
# build.sh OUT: builds the token in C. Needs clang with wasm-ld (Debian: clang, lld), no C library.
set -eu
cd "$(dirname "$0")"
exec "${CLANG:-clang}" --target=wasm32 -std=c11 -Oz -Wall -Wextra -Werror -ffreestanding -fno-builtin -mbulk-memory \
  -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,--compress-relocations -Wl,-z,stack-size=16384 -o "$1" token.c
