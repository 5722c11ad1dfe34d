/* The explorer: what is asked for, what comes of it, and the sky it is drawn on. */

import { data } from "./base.js";

data("explore");
