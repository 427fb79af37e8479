// The theme's dialog of the search has no name, which those who hear a page need.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
