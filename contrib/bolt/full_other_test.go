//go:build !unix

package bolt_test

// fillDisk needs a limit that only Unix has.
func fillDisk(string, func(...any)) {}
