// Package browsertest walks through the portal as people do: a real browser (Chromium), real identity providers, and at the end the aws CLI
// with what the page showed. It is a module of its own, so that what drives the browser is no dependency of stint; "make unit" runs it.
//
// Each page is looked at in light and dark, wide and narrow: axe-core finds no fault with it, nothing scrolls sideways, and pictures of it
// stay in $STINT_TEST_ARTIFACTS, or in .test/screenshots of the repository.
package browsertest
