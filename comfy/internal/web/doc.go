// Package web reads requests and writes answers: JSON in both directions, within bounds,
// and the grant of a request. Every room of the server uses it. It knows no route.
package web
