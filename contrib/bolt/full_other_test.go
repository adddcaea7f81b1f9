//go:build !unix

package bolt_test

// fillDisk and endOnFullDisk need a limit that only Unix has.
func fillDisk(string, func(...any))      {}
func endOnFullDisk(string, func(...any)) {}
