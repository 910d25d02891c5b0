import js from "@eslint/js";
import globals from "globals";

const TEXT_ONLY = "text of others must stay text: use textContent, append or replaceChildren";
const POLICY = "the Content-Security-Policy of the page refuses it";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" },
    rules: {
      "array-callback-return": "error",
      "consistent-return": "error",
      "default-case-last": "error",
      eqeqeq: "error",
      "no-constructor-return": "error",
      "no-else-return": "error",
      "no-implicit-coercion": ["error", { boolean: false }],
      "no-param-reassign": "error",
      "no-return-assign": "error",
      "no-self-compare": "error",
      "no-sequences": "error",
      "no-shadow": ["error", { hoist: "never" }],
      "no-throw-literal": "error",
      "no-unmodified-loop-condition": "error",
      "no-unneeded-ternary": "error",
      "no-unused-expressions": "error",
      "no-unused-vars": ["error", { args: "all", argsIgnorePattern: "^_", caughtErrors: "all" }],
      "no-use-before-define": ["error", { functions: false }],
      "no-useless-concat": "error",
      "no-useless-return": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-promise-reject-errors": "error",
      "prefer-template": "error",
      radix: "error",
      "require-await": "error",
    },
  },
  {
    files: ["scripts/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: {
      "no-alert": "error",
      "no-console": ["error", { allow: ["error", "warn"] }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-script-url": "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "createContextualFragment", "srcdoc"].map(
          (property) => ({ property, message: TEXT_ONLY }),
        ),
        { object: "document", property: "write", message: TEXT_ONLY },
        { object: "document", property: "cookie", message: "the page stores nothing" },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "CallExpression[callee.property.name='setAttribute'][arguments.0.value=/^(style|on)/]", message: POLICY },
        // A promise that nobody waits for fails silently. Without types, only a call of `then` without `catch` is seen.
        {
          selector: "ExpressionStatement > CallExpression[callee.property.name='then'][arguments.length=1]",
          message: "nobody handles the failure: await it, or add catch",
        },
      ],
    },
  },
  { files: ["*.js", "tests/*.js"], languageOptions: { globals: globals.node } },
];
