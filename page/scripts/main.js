/** The entry of the page. */

document.documentElement.classList.add("scripted");
