# make run    build it and run it: embedded broker, no configuration
# make test   all tests; installs through apt what they need
# make test-ha  the scenarios of homeassistant/ in real Home Assistants, which it gets from PyPI
# make test-nodered  the flows of nodered/ in a real Node-RED, which it gets from npm
# make test-web  the pages in a headless Chromium, which comes from apt
# make app    the Home Assistant app, in dist/app
# make release        archives, Debian packages, app, sums in dist/
# make test-packages  makes a release and tries it on a booted system (root)
# make bench  the figures of the README
# make check  format, vet, staticcheck, lint, tidy, builds for other machines
.DEFAULT_GOAL := build

# The version is our own stamp: Go's needs a checkout that belongs to the user.
export GOFLAGS := -buildvcs=false $(GOFLAGS)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: build run app release test test-ha test-nodered test-web test-packages bench check deps

# Programs for people are built without HTTP/2, half a megabyte: the page is served
# without TLS, and whom it calls speaks HTTP/1.1 too.
build:
	CGO_ENABLED=0 go build -tags nethttpomithttp2 -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o porchlight .

run: build
	scripts/run ./porchlight run

app:
	scripts/app $(VERSION) dist/app

test: deps
	scripts/test

test-ha: deps
	scripts/test-ha

test-nodered:
	scripts/nodered

test-web:
	scripts/test-web

release:
	scripts/release

test-packages:
	scripts/deps packages
	scripts/test-packages

bench: deps
	go build -o .cache/bench ./bench
	scripts/bench .cache/bench

check:
	scripts/check

deps:
	scripts/deps
