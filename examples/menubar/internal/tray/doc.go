// Package tray is the desktop of Linux and Windows: an icon with a menu in the panel,
// and the page in the browser. On Linux it speaks D-Bus (StatusNotifierItem and
// com.canonical.dbusmenu).
package tray
