"""The style sheet of the report of an analysis."""

CSS = """
main{max-width:72rem}p{max-width:56rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}
.headline{font-size:1.1rem;color:#222;font-weight:600}.small{font-size:.85rem;margin:0}
.claim{display:grid;grid-template-columns:9.5rem 1fr;gap:.2rem 1rem;padding:.6rem 0 .5rem .8rem;
border-left:5px solid;margin:.5rem 0}.claim p{margin:.15rem 0}.claim .verdict{font-weight:600}
.found{border-color:#00795A}.found .verdict{color:#00795A}
.notfound{border-color:#9B3F76}.notfound .verdict{color:#9B3F76}
.unknown{border-color:#999}.unknown .verdict{color:#666}
nav{margin:1.2rem 0 0;font-size:.93rem}nav a{color:#0072B2;text-decoration:none}
nav a:hover{text-decoration:underline}
.controls{display:flex;flex-wrap:wrap;gap:.4rem .9rem;align-items:center;margin:.6rem 0;
font-size:.93rem}.controls select,.controls button{font:inherit;padding:.15rem .4rem}
.caption{margin-top:1.6rem}.plot,#raster{width:100%}.scroll,.wide{overflow-x:auto}
table.numbers td,table.numbers th{padding:.12rem 1.1rem .12rem 0;text-align:right;font-weight:400;
font-variant-numeric:tabular-nums;white-space:nowrap}table.numbers th{color:#555;
border-bottom:1px solid #ccc;white-space:normal;vertical-align:bottom;font-size:.9rem}
table.numbers td:first-child,table.numbers th:first-child{text-align:left}
table.glossary td{font-weight:400;vertical-align:top}
.of{font-weight:400;font-size:.85rem;color:#555}
@media (max-width:40rem){.claim{grid-template-columns:1fr}table.glossary th,main>table th{
white-space:normal;padding-right:.7rem}.controls label,.controls select{max-width:100%}
.controls select{text-overflow:ellipsis}h1,p,td{
overflow-wrap:anywhere}}
"""
