// Package cookbook holds the recipes of docs/cookbook.md as examples. Each file is a recipe.
// A test compares the files with the page.
package cookbook
