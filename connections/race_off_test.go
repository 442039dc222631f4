//go:build !race

package connections

const raced = false
