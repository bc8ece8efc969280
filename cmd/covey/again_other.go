//go:build !unix

package main

import "errors"

// again cannot be done here.
func again(_, _ []string) error { return errors.ErrUnsupported }
