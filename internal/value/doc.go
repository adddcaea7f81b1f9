// Package value converts values: literals of a prompt to the types that inputs
// declare, and Go values of one node to the types of another node's fields.
//
// ComfyUI's own conversions are the rule for literals ("3" is an INT, 3.7 is 3),
// so that a prompt means the same here and there. Conversions between Go types
// lose nothing but the precision of large integers in a float.
package value
